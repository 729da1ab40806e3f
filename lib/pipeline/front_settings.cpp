#include "pipeline/front_settings.hpp"

namespace flowloom {

FrontSettings front_settings(const ShardConfig& shard, const DefragmentSettings& defragment) {
  FrontSettings front;
  front.defragment = defragment;
  front.defragment.seed = shard.seed;
  front.decode.seed = shard.seed;
  switch (shard.checksum) {
    case ChecksumMode::Auto:
      front.decode.header_checksum = HeaderChecksum::Auto;
      break;
    case ChecksumMode::All:
      front.decode.header_checksum = HeaderChecksum::Verify;
      break;
    case ChecksumMode::None:
      front.decode.header_checksum = HeaderChecksum::Ignore;
      front.defragment.choice = VersionChoice::ByPolicy;
      break;
  }
  return front;
}

}  // namespace flowloom
