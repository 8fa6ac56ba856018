// The sm_90a version built for sm_100a: nothing in it is Hopper's own. See
// kernels/mhc_pre/cluster.cuh.
#include "kernels/mhc_post_pre/launch.h"
#include "kernels/mhc_pre/cluster.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::mhc_post_pre {
namespace {

void launch(const Args& args, void*, Stream stream) {
  mhc_pre::cluster::launch<true>(args.pre, args.post, stream);
}

const Register<Args> kVersion{{.name = "cluster",
                               .target = Target::sm100a,
                               .preference = 10,
                               .never_run = true,
                               .idea = "new streams stay on the chip, fn in registers",
                               .refuses = refuses_cluster,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::mhc_post_pre
