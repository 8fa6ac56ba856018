// When a tier below GPU memory gets a copy of what the level above it holds: GPU memory above the
// first tier, the tier before above all others. One file per policy, registered by name;
// "name=argument" selects one, e.g. "selective=2".
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sim/core/registry.h"

namespace v4cap {

class WritePolicy {
 public:
  virtual ~WritePolicy() = default;
  // As given, e.g. "selective=2".
  virtual std::string name() const = 0;
  // Whether its answers depend on how often something was used; where none does, nobody counts.
  virtual bool counts_uses() const { return true; }
  // A block or point above has been used so often, the instant it came there being the first, and
  // has no copy here: is one made?
  virtual bool on_use(std::int64_t uses) const = 0;
  // It leaves the level above, where it was used so often, and has no copy here: is one made?
  virtual bool on_leave(std::int64_t uses) const = 0;
};

// `argument`: what follows '=', "" when nothing does.
using WritePolicyRegistry = Registry<std::unique_ptr<WritePolicy> (*)(const std::string& argument)>;

// Throws InputError (without a place) for an unknown name or an argument that does not fit.
std::unique_ptr<WritePolicy> make_write_policy(const std::string& text);

// For policies without an argument.
void refuse_argument(const std::string& name, const std::string& argument);

}  // namespace v4cap
