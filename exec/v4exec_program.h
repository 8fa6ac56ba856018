// v4exec as it presents itself.
#pragma once

#include "sim/app/command.h"

namespace v4cap::exec {

// A CudaError as a RunError with a kind (exec/driver/gpu_error.h); nothing for anything else.
std::optional<RunError> explain_cuda(const std::exception& error);

inline constexpr ProgramInfo kV4exec{
    .name = "v4exec",
    .description = "DeepSeek-V4 on a live GPU of compute capability 9.0 or newer",
    .footer =
        "'v4exec COMMAND --help' describes a command. Exit codes: 0 done, 1 the run failed, "
        "2 wrong usage\nor input or no GPU that it can use, 130 interrupted.",
    .explain = explain_cuda};

}  // namespace v4cap::exec
