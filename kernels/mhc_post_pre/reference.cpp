#include "kernels/reference.h"
#include "kernels/mhc_post_pre/mhc_post_pre.h"

namespace v4cap::kernels::mhc_post_pre {

Expected reference(const Args& args) {
  Expected expected;
  expected.streams = mhc_post::reference(args.post);
  std::vector<Bf16> rounded;
  rounded.reserve(expected.streams.size());
  for (const double x : expected.streams) rounded.push_back(to_bf16(static_cast<float>(x)));
  mhc_pre::Args pre = args.pre;
  pre.x = rounded.data();
  expected.pre = mhc_pre::reference(pre);
  return expected;
}

}  // namespace v4cap::kernels::mhc_post_pre
