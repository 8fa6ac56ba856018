// Clusters of 16 that keep fn in registers and read the streams once: see cluster.cuh.
#include "kernels/mhc_pre/cluster.cuh"
#include "kernels/mhc_pre/launch.h"
#include "kernels/registry.h"

namespace v4cap::kernels::mhc_pre {
namespace {

void launch_cluster(const Args& args, void*, Stream stream) {
  cluster::launch<false>(args, {}, stream);
}

const Register<Args> kVersion{{.name = "cluster",
                               .target = Target::sm90a,
                               .preference = 10,
                               .idea = "fn in the registers of 16 blocks, streams read once",
                               .refuses = refuses_cluster,
                               .launch = launch_cluster}};

}  // namespace
}  // namespace v4cap::kernels::mhc_pre
