// `v4exec replay` as a command that is not registered yet (exec/register_replay.cpp): what links
// v4cap's commands too has an SWA policy of that name, which `simulate --compare` would take for
// it.
#pragma once

#include <exception>
#include <memory>
#include <optional>

#include "sim/app/command.h"
#include "sim/core/error.h"

namespace v4cap::exec {

// `explain`: what an exception of the device means, as a program knows it (ProgramInfo).
using Explain = std::optional<RunError> (*)(const std::exception& error);
std::unique_ptr<Command> make_replay_command(Explain explain);

}  // namespace v4cap::exec
