// The portable version of mhc_post, for versions of other operators that run it as a part.
#pragma once

#include "kernels/mhc_post/mhc_post.h"
#include "kernels/registry.h"

namespace v4cap::kernels::mhc_post {

void launch_portable(const Args& args, void* workspace, Stream stream);

}  // namespace v4cap::kernels::mhc_post
