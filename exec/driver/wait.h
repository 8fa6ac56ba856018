// Waiting for a stream, so that a step that hangs or fails is named.
#pragma once

#include <string_view>

#include "kernels/registry.h"

namespace v4cap::exec {

// No step of a replay and no measurement takes that long.
inline constexpr double kStepLimit_s = 60;

// Returns when everything that was queued on the stream has ended. Throws RunError: what CUDA
// reports, as cuda_failure maps it, or timed_out after `limit_s`; both name `step` ("step 17, decode
// of 32 sequences"). The GPU is then lost (gpu_is_lost). Asks without sleeping for the first 20 ms,
// so that the caller learns of the end within microseconds.
void wait_for(kernels::Stream stream, std::string_view step, double limit_s = kStepLimit_s);

}  // namespace v4cap::exec
