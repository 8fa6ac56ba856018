// Draws token counts from a LengthSpec.
#pragma once

#include <vector>

#include "sim/core/random.h"
#include "traces/generate.h"

namespace v4cap {

class LengthSampler {
 public:
  enum class Column : bool { prompt, output };  // of a table

  // Checks the parameters and reads the table. `name` is the parameter's name in errors. Throws
  // InputError.
  LengthSampler(const char* name, const LengthSpec& spec, Column column);

  Tokens draw(RandomEngine& engine) const;

 private:
  double draw_unbounded(RandomEngine& engine) const;

  LengthSpec spec_;
  std::vector<double> table_;
};

}  // namespace v4cap
