// Thresholds of a comparison (--limit NAME=VALUE, --limits SET). A name stands for the figure that
// is called so and for every one whose name goes on after it with '_': `ttft_p50` is one, `ttft`
// its four statistics, `throughput` all three. Values are in % of A, for a hit rate in points. A
// later limit takes the place of an earlier one for the figures that it names.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace v4cap {

// By name of figure.
using ErrorLimits = std::map<std::string, double, std::less<>>;

// `set` is "" or the name of one in limit_sets(); `texts` are NAME=VALUE. Throws InputError that
// names the nearest figure or set.
ErrorLimits parse_limits(const std::string& set, const std::vector<std::string>& texts);

// Every name that a limit may begin with, for --help.
std::vector<std::string> limit_names();

struct LimitSet {
  std::string name;
  std::vector<std::string> limits;  // NAME=VALUE
};
const std::vector<LimitSet>& limit_sets();

}  // namespace v4cap
