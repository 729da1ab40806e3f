// What the front half does so that it fits the shards behind it.
#pragma once

#include "pipeline/front.hpp"
#include "pipeline/shard_config.hpp"

namespace flowloom {

/// With the seed of the shards, and as strict with checksums as they are.
FrontSettings front_settings(const ShardConfig& shard, const DefragmentSettings& defragment);

}  // namespace flowloom
