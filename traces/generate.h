// Synthetic traces: sessions of turns that share a system prompt, with lengths and arrivals from
// distributions or tables. Turn k + 1 prompts with turn k's prompt, its output and new tokens, so
// that every turn continues the one before exactly. Each kind of draw has a random stream of its
// own ("arrivals", "sessions", "lengths").
#pragma once

#include <cstdint>
#include <string>

#include "sim/core/units.h"
#include "traces/trace.h"

namespace v4cap {

// Tokens of a prompt's part or of an output, rounded to the nearest and at least 1.
struct LengthSpec {
  // constant (mean) | uniform (min, max) | lognormal (mean, sigma of the logarithm) | exponential
  // (mean) | table (a row of `table`, drawn evenly).
  std::string kind = "constant";
  double mean = 0, min = 0, max = 0,
         sigma = 0;   // min and max also bound the others; max 0 = no bound
  std::string table;  // a trace or length table; its prompts serve prompts, its outputs outputs
};

struct SyntheticSpec {
  std::int64_t sessions = 0;
  std::int64_t turns_min = 1, turns_max = 1;  // drawn evenly
  Tokens shared_prefix;  // system prompt common to the sessions of one of `prefix_groups` groups
  std::int64_t prefix_groups = 1;
  LengthSpec first_prompt, next_prompt, output;  // prompts: new tokens, beside prefix and history
  double think_mean_s = 0;                       // exponential; 0 = none
  // Of sessions. gamma: gaps of that shape (burstiness 1 = poisson, below it burstier). table:
  // rates of `rate_table` times rate_per_s, begun again after its end, gaps as gamma.
  std::string arrivals = "poisson";  // poisson | gamma | table
  double rate_per_s = 1, burstiness = 1;
  std::string rate_table;
  Tokens block{64};
};

// Throws InputError when the parameters contradict themselves or a table cannot be read, RunError
// when a session outgrows kTraceTokensMax.
Trace generate_trace(const SyntheticSpec& spec, std::uint64_t seed);

// "300", "constant:300", "uniform:100..500", "lognormal:mean=2000,sigma=0.8,min=64,max=16000",
// "exponential:mean=300,min=16", "table:PATH". `name` is the option's name in errors. Throws
// InputError.
LengthSpec parse_length_spec(const std::string& name, const std::string& text);

}  // namespace v4cap
