// Gives a program the command `replay`.
#include "exec/replay_command.h"

namespace v4cap::exec {

namespace {

const bool registered = CommandRegistry::add("replay", make_replay_command);

}  // namespace

}  // namespace v4cap::exec
