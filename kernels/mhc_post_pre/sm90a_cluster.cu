// mhc_post in front of mhc_pre's cluster version: the new streams are multiplied from shared
// memory. Traffic: 20 d bytes a token. See kernels/mhc_pre/cluster.cuh.
#include "kernels/mhc_post_pre/launch.h"
#include "kernels/mhc_pre/cluster.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::mhc_post_pre {
namespace {

void launch(const Args& args, void*, Stream stream) {
  mhc_pre::cluster::launch<true>(args.pre, args.post, stream);
}

const Register<Args> kVersion{{.name = "cluster",
                               .target = Target::sm90a,
                               .preference = 10,
                               .idea = "new streams stay on the chip, fn in registers",
                               .refuses = refuses_cluster,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::mhc_post_pre
