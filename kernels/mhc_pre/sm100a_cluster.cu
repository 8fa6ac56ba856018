// The sm_90a version built for sm_100a: nothing in it is Hopper's own. See
// kernels/mhc_pre/cluster.cuh.
#include "kernels/mhc_pre/cluster.cuh"
#include "kernels/mhc_pre/launch.h"
#include "kernels/registry.h"

namespace v4cap::kernels::mhc_pre {
namespace {

void launch_cluster(const Args& args, void*, Stream stream) {
  cluster::launch<false>(args, {}, stream);
}

const Register<Args> kVersion{{.name = "cluster",
                               .target = Target::sm100a,
                               .preference = 10,
                               .never_run = true,
                               .idea = "fn in the registers of 16 blocks, streams read once",
                               .refuses = refuses_cluster,
                               .launch = launch_cluster}};

}  // namespace
}  // namespace v4cap::kernels::mhc_pre
