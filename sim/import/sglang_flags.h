// The flags of SGLang, all of them by name.
#pragma once

#include "sim/import/flag_table.h"

namespace v4cap {

// What each flag is to an import: it sets something, has no effect here, or is not modelled.
FlagTable sglang_flag_table();

}  // namespace v4cap
