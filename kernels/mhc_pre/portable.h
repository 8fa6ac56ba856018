// The portable version of mhc_pre, which mhc_post_pre runs as a part.
#pragma once

#include "kernels/mhc_post/mhc_post.h"
#include "kernels/mhc_pre/launch.h"
#include "kernels/registry.h"

namespace v4cap::kernels::mhc_pre {

// `workspace`: portable_workspace_bytes().
void launch_portable(const Args& args, void* workspace, Stream stream);

// mhc_post first, as a part of the first kernel: for few tokens (portable_spreads).
void launch_portable_spreading(const Args& args, const mhc_post::Args& post, void* workspace,
                               Stream stream);

}  // namespace v4cap::kernels::mhc_pre
