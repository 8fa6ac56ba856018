// mhc_post of one sublayer and mhc_pre of the next, over one reading of the streams: the mixes are
// taken from the new streams as rounded to bf16, so that the two operators apart give the same.
#pragma once

#include "kernels/mhc_post/mhc_post.h"
#include "kernels/mhc_pre/mhc_pre.h"

namespace v4cap::kernels::mhc_post_pre {

struct Args {
  mhc_post::Args post = {};
  mhc_pre::Args pre = {};  // pre.x is post.out
};

struct Expected {
  std::vector<double> streams;  // [tokens, 4, hidden]
  mhc_pre::Expected pre;
};
Expected reference(const Args& args);

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
  std::int64_t streams = 4;
  std::int64_t mixes = 24;
};

// The streams are read once and written once: what mhc_pre reads again is left out.
constexpr Work work(const Shape& s) {
  Work w = mhc_post::work({.tokens = s.tokens, .hidden = s.hidden, .streams = s.streams}) +
           mhc_pre::work(
               {.tokens = s.tokens, .hidden = s.hidden, .streams = s.streams, .mixes = s.mixes});
  w.activation_bytes -= real(s.tokens) * 2 * real(s.streams) * real(s.hidden);
  return w;
}

}  // namespace v4cap::kernels::mhc_post_pre
