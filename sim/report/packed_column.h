// Columns of figures as the report carries them: 32-bit floats, little-endian, compressed with gzip,
// in base64. A browser opens that with its own DecompressionStream; a million figures are about
// 3 MB of page. Seven significant digits are more than a chart shows; the files of the run have all.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace v4cap {

std::string base64(std::string_view bytes);

// NaN stands for a figure that is not there.
std::string packed_column(const std::vector<double>& figures);

}  // namespace v4cap
