// Partial sums of experts that are cut by tensor parallelism over all GPUs, added up and handed to
// the attention rank of each token: BF16 rows, the other half of an all-reduce (kernels/all_gather
// is the first).
#pragma once

#include "kernels/all_gather/work.h"

namespace v4cap::kernels::reduce_scatter {

using all_gather::link_bytes;
using all_gather::Shape;

}  // namespace v4cap::kernels::reduce_scatter
