// Text as a terminal shows it: how many columns it takes, and what of it is safe to print. Widths
// come from a table of our own (Unicode 15 East Asian Width W and F, emoji; zero-width marks), not
// from the locale, so that a table looks the same on every machine.
#pragma once

#include <string>
#include <string_view>

namespace v4cap {

// `text` with every byte sequence that is not well-formed UTF-8 (overlong forms and surrogates
// included) replaced by U+FFFD.
std::string valid_utf8(std::string_view text);

// Without control characters (C0, DEL, C1), bidirectional overrides and line separators: a label
// from a file can then neither move the cursor nor reorder what stands beside it. Invalid UTF-8
// becomes U+FFFD.
std::string printable(std::string_view text);

// Terminal columns of UTF-8 text: 2 for wide characters, 0 for combining marks, 1 otherwise.
std::size_t display_width(std::string_view text);

}  // namespace v4cap
