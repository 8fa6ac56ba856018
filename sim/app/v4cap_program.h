// v4cap as it presents itself.
#pragma once

#include "sim/app/command.h"

namespace v4cap {

inline constexpr ProgramInfo kV4cap{
    .name = "v4cap",
    .description = "What will this traffic cost on this hardware under this cache policy?",
    .footer =
        "'v4cap COMMAND --help' describes a command. Exit codes: 0 done, 1 the run failed or "
        "nothing is feasible,\n2 wrong usage or input, 99 an SLO was missed, 130 "
        "interrupted."};

}  // namespace v4cap
