// A report as one HTML file that needs nothing else: scripts, style and data are in it, and a content
// security policy lets nothing else in and nothing out. Scripts and style are allowed by their
// hashes; what came from files is in a data block, as JSON in which no markup can begin, and the
// page puts it into text nodes and onto canvases only.
#pragma once

#include <string>
#include <string_view>

#include "sim/report/report_document.h"

namespace v4cap {

// JSON as the content of a script element: '<', '>', '&' and the two line separators of Unicode,
// which occur in strings only, as \u escapes.
std::string json_for_html(std::string_view json);

std::string report_page(const Report& report);

}  // namespace v4cap
