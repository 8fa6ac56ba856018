// Gives a program the command `replay`.
#include "exec/replay_command.h"
#include "exec/v4exec_program.h"

namespace v4cap::exec {

namespace {

const bool registered =
    CommandRegistry::add("replay", [] { return make_replay_command(explain_cuda); });

}  // namespace

}  // namespace v4cap::exec
