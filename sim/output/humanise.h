// Figures for people: thousands separators, a sensible number of digits, binary units for memory
// and decimal ones for counts. Files and --json never use these.
#pragma once

#include <cstdint>
#include <string>

#include "sim/core/time.h"
#include "sim/core/units.h"

namespace v4cap {

// 1234567 -> "1,234,567".
std::string grouped(std::int64_t number);
// 1234.5678 with 1 decimal -> "1,234.6". "-" when not finite.
std::string grouped(double number, int decimals);

// Decimals that show three significant digits of `number`, at most 2: 0.123 -> 2, 12.3 -> 1, 123 ->
// 0.
int decimals_for(double number);

std::string human(Bytes bytes);    // "512 B", "1.50 KiB", "36.0 GiB"
std::string human(Tokens tokens);  // "950", "12.3 k", "3.70 M"
std::string human(Duration time);  // "250 ns", "1.50 ms", "12.3 s", "4 min 05 s", "2 h 03 min"

}  // namespace v4cap
