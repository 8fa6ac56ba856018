// `v4exec replay` as a command that is not registered yet (exec/register_replay.cpp): what links
// v4cap's commands too has an SWA policy of that name, which `simulate --compare` would take for
// it.
#pragma once

#include <memory>

#include "sim/app/command.h"

namespace v4cap::exec {

std::unique_ptr<Command> make_replay_command();

}  // namespace v4cap::exec
