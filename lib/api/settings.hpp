// From the library's options to the settings of the rooms below, with every mistake found at once.
#pragma once

#include <flowloom/extractor.hpp>

#include "pipeline/front.hpp"
#include "pipeline/shard_config.hpp"

namespace flowloom {

struct ApiSettings {
  ShardConfig shard;
  FrontSettings front;
};

/// Throws std::invalid_argument with a sentence.
ApiSettings settings_of(const ExtractorOptions& options);

}  // namespace flowloom
