// The first header of a frame: one function per row of links.def.
#pragma once

#include "net/frame_walk.hpp"
#include "net/link_type.hpp"

namespace flowloom {

template <LinkType link>
Layer parse_link(FrameWalk& walk);

// A row without its function does not link.
#define LINK(symbol, linktype, name) \
  template <>                        \
  Layer parse_link<LinkType::symbol>(FrameWalk & walk);
#include "net/links.def"
#undef LINK

}  // namespace flowloom
