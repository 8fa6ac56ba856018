// mhc_post_pre for any width. Many tokens: the two operators one after the other, 36 d bytes a
// token instead of 20 d. Few tokens: mhc_pre's first kernel makes the streams that it multiplies.
#include "kernels/mhc_post/portable.h"
#include "kernels/mhc_post_pre/launch.h"
#include "kernels/mhc_pre/portable.h"

namespace v4cap::kernels::mhc_post_pre {
namespace {

std::size_t workspace_bytes(const Args& args) {
  return mhc_pre::portable_workspace_bytes(args.pre.tokens, args.pre.hidden);
}

void launch(const Args& args, void* workspace, Stream stream) {
  mhc_pre::Args pre = args.pre;
  pre.x = args.post.out;
  if (mhc_pre::portable_spreads(pre.tokens, pre.hidden)) {
    return mhc_pre::launch_portable_spreading(pre, args.post, workspace, stream);
  }
  mhc_post::launch_portable(args.post, nullptr, stream);
  mhc_pre::launch_portable(pre, workspace, stream);
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "mhc_post, then mhc_pre",
                               .refuses = refuses_mismatch,
                               .workspace_bytes = workspace_bytes,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::mhc_post_pre
