// JSON Schema (draft 2020-12) of a kind of file, from the keys that its reader has declared
// (sim/config/keys.h): what an editor completes and underlines by. The reader is the stricter one,
// it also knows which keys go together and what a model or node can take; but it takes a number in
// quotes, which the schema does not.
#pragma once

#include <string>

#include "sim/config/keys.h"

namespace v4cap {

// Keys that are not declared are refused. Names of models, policies and the like are those known to
// this program, in this place.
std::string json_schema(const std::string& name, const FileKind& kind);

}  // namespace v4cap
