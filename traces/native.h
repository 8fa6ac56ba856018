// v4cap's own trace format: a Trace written out line by line, and read back without loss.
//
// JSON lines, optionally gzip. The first line is the header:
//   {"format":"v4cap-trace","version":1,"name":"...","source":"weka","requests":24,"block_tokens":64,
//    "partial_last_block":false,"arrivals":true,"next_free_id":4711,"sessions":["..."],"notes":["..."]}
// `source` is the format that the trace was made from; `requests` tells a file that lost its end.
// Then one line for each request, in file order; keys with the value in brackets may be left out:
//   prompt, output   tokens                        runs [[]]   [[first id, count], ...] of the
//   prompt's blocks arrival_ns [0]   from the trace's start        think_ns [0]   pause after those
//   it waits for session [none]   index into `sessions`         group [none] after [[]] requests
//   (by line, from 0) that must finish first, all of them earlier
// Ids are chained and unique in the file. A prompt has floor(prompt / block_tokens) ids, ceil with
// partial_last_block. Unknown keys are refused: this is a format of ours.
#pragma once

#include <string>

#include "traces/trace.h"

namespace v4cap {

// The file's text.
std::string native_text(const Trace& trace);

// Writes it, compressed when the name ends in ".gz"; in place at once, or not at all. Throws
// RunError.
void write_native(const Trace& trace, const std::string& path);

}  // namespace v4cap
