// Which arguments the versions of mhc_post_pre take. Plain C++.
#pragma once

#include <string>

#include "kernels/mhc_post_pre/mhc_post_pre.h"
#include "kernels/mhc_pre/launch.h"

namespace v4cap::kernels::mhc_post_pre {

inline std::string refuses_mismatch(const Args& args) {
  if (args.post.tokens != args.pre.tokens || args.post.hidden != args.pre.hidden) {
    return "the two operators have different shapes";
  }
  return mhc_pre::refuses_shape(args.pre);
}

inline std::string refuses_cluster(const Args& args) {
  if (args.pre.mixes != mhc_pre::kMixes) return "not 24 mixes";
  const std::string reason = refuses_mismatch(args);
  return reason.empty() ? mhc_pre::refuses_cluster(args.pre) : reason;
}

}  // namespace v4cap::kernels::mhc_post_pre
