// Wrong traces are refused with file, line, column and what was expected.
#include <doctest/doctest.h>

#include <algorithm>

#include "sim/core/random.h"
#include "tests/traces/files.h"
#include "tests/traces/gzip.h"
#include "traces/reader.h"

namespace v4cap {
namespace {

// Where the fault is: line and column, or 0, 0 and a ` before it in the text.
struct Malformed {
  std::string name, text;
  std::int64_t line, column;
  std::string fragment;
  std::string format = {};
  std::int64_t block = 0;
};

const std::string kGood = R"({"timestamp":5,"input_length":600,"output_length":5,"hash_ids":[0,1]})"
                          "\n";
const std::string kAzure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
const std::string kAzureRow = "2023-11-16 18:17:03.9799600,4808,10\n";
const std::string kLmcache =
    R"({"session_id":"a","turn":1,"timestamp":4,"input_length":16,"output_length":2,"hash_ids":[1]})"
    "\n";
const std::string kTau =
    R"({"group_id":0,"sample":0,"session_id":"a","turn":1,"input_length":16,"output_length":2,"hash_ids":[1]})"
    "\n";
const std::string kNative =
    R"({"format":"v4cap-trace","version":1,"name":"x","source":"s","requests":1,"block_tokens":64,"partial_last_block":false,"arrivals":true,"next_free_id":2,"sessions":["a"],"notes":[]})"
    "\n";
const std::string kWindows = "client,window_start_s,rate_rps,cv,dist,param1,param2\n";

std::string weka(const std::string& requests) {
  return R"({"id":"a","block_size":64,"requests":[)" + requests + "]}\n";
}
std::string client(const std::string& windows, const std::string& lengths) {
  return R"({"client":0,"windows":[)" + windows + R"(],"lengths":{)" + lengths + "}}\n";
}
std::string lengths_of(const std::string& input) {
  return R"("0":{"input_tokens":)" + input + R"(,"output_tokens":[[7,1.0]],"reason_ratio":[]})";
}
std::string mooncake(const std::string& timestamp, const std::string& input,
                     const std::string& output, const std::string& ids) {
  return R"({"timestamp":)" + timestamp + R"(,"input_length":)" + input + R"(,"output_length":)" +
         output + R"(,"hash_ids":)" + ids + "}\n";
}

std::vector<Malformed> malformed() {
  const std::string gz = gzip(kGood + kGood + kGood);
  const std::string window = R"([0,1.0,1.0,"Gamma",1.0,1.0])";
  return {
      {"empty file", "", 1, 1, "file is empty"},
      {"mooncake without ids",
       R"({"timestamp":5,"input_length":600,"output_length":5})"
       "\n",
       1, 1,
       "nearest is 'mooncake' (Mooncake JSONL: ms times, lengths, ids of 512-token blocks), of "
       "which it lacks 'hash_ids'; traces/README.md"},
      {"azure without outputs", "TIMESTAMP,ContextTokens,Generated\n" + kAzureRow, 1, 1,
       "nearest is 'azure' (Azure LLM inference CSV: wall clock, lengths), of which it lacks "
       "'GeneratedTokens'"},
      {"own CSV of other names", "arrival_s,input_tokens,output_tokens\n0,1,1\n", 1, 1,
       "nearest is 'csv' (a CSV of one's own: arrival_s, prompt_tokens, output_tokens), of which "
       "it "
       "lacks 'prompt_tokens'"},
      {"JSON like no format", "{\"a\":1}\n", 1, 1, "found something else; traces/README.md"},
      {"own CSV, column misspelt", "arrival,prompt_tokens,output_tokens\n0,1,1\n", 1, 1,
       "expected a column of the format, found 'arrival'; did you mean 'arrival_s'?"},
      {"own CSV, column twice", "prompt_tokens,output_tokens,prompt_tokens\n1,1,1\n", 1, 29,
       "expected each column once, found 'prompt_tokens' again"},
      {"own CSV, column missing as stated", "prompt_tokens,arrival_s\n1,1\n", 1, 1,
       "expected a column 'output_tokens', found none", "csv"},
      {"own CSV, prompt of nothing", "prompt_tokens,output_tokens\n0,1\n", 2, 1,
       "prompt_tokens: expected an integer from 1"},
      {"own CSV, unsorted", "arrival_s,prompt_tokens,output_tokens\n2,1,1\n1.5,1,1\n", 3, 1,
       "rows must be sorted"},
      {"own CSV, no number", "arrival_s,prompt_tokens,output_tokens\n12:00,1,1\n", 2, 1,
       "arrival_s: expected a number from 0"},
      {"mooncake in blocks of 16 tokens", mooncake("0", "40", "1", "[1,2,3]"), 1, 63,
       "expected 1 ids (a prompt of 40 tokens in blocks of 512, the last one partial), found 3; a "
       "file of such blocks of 16 tokens is read by 'v4cap trace convert --block-tokens 16'"},
      {"mooncake in blocks of who knows", mooncake("0", "40", "1", "[]"), 1, 63,
       "a file of blocks of N tokens is read by 'v4cap trace convert --block-tokens N'"},
      {"only a newline", "\n", 1, 1, "expected the first line of a trace"},
      {"binary junk",
       std::string("\x7f"
                   "ELF\x02\x01\x00\x00\xff",
                   9),
       1, 1, "first line of a trace"},
      {"1 MiB of junk", std::string(1 << 20, 'x') + "\n", 1, 1,
       "expected the first line of a trace"},
      {"1 MiB of junk as mooncake", std::string(1 << 20, 'x') + "\n", 1, (512 << 10) + 1,
       "at most 524288 bytes", "mooncake"},
      {"1 MiB of junk as weka", std::string(1 << 20, 'x') + "\n", 1, 1, "expected JSON, found xxx",
       "weka"},
      {"1 MiB line in the middle", kGood + std::string(1 << 20, '[') + "\n", 2, (512 << 10) + 1,
       "at most 524288 bytes"},
      {"1 MiB row of CSV", kAzure + std::string(1 << 20, '1') + "\n", 2, 4097,
       "at most 4096 bytes"},
      {"truncated gzip", gz.substr(0, gz.size() - 9), 0, 0, "gzip stream ends early at line"},
      {"corrupt gzip", gz.substr(0, gz.size() - 1) + "x", 4, 1, "corrupt"},
      {"byte order mark", "\xef\xbb\xbf" + kGood, 1, 1, "byte order mark"},
      {"UTF-16", std::string("\xff\xfe{\0\"\0", 6), 1, 1, "first line of a trace"},
      {"cut last line", kGood + kGood.substr(0, 40), 2, 41, "the last line is cut"},
      {"cut last line inside a key", kGood + kGood.substr(0, 5), 2, 6, "the last line is cut"},
      {"blank line", kGood + "\n" + kGood, 2, 1, "found the end of the line"},
      {"two objects on a line", kGood.substr(0, kGood.size() - 1) + kGood, 1, 70,
       "expected the end of the line"},
      {"an array for a line", kGood + "[1]\n", 2, 1, "expected an object"},
      {"control character", kGood + "{\"timestamp\":5,\"a\":\"\x01\"}\n", 2, 21, "expected JSON"},
      {"NUL byte", kGood + std::string("{\"timestamp\":\0}\n", 16), 2, 14, "expected JSON"},

      {"mooncake: unsorted", kGood + mooncake("4", "600", "5", "[0,1]"), 2, 14,
       "expected at least 5 (the line before), found 4"},
      {"mooncake: negative time", mooncake("-1", "600", "5", "[0,1]"), 1, 14,
       "'timestamp': expected an integer from 0"},
      {"mooncake: fraction of a ms", mooncake("1.5", "600", "5", "[0,1]"), 1, 14, "found 1.5"},
      {"mooncake: no tokens", mooncake("5", "0", "5", "[]"), 1, 31,
       "'input_length': expected an integer from 1 to 16777216, found 0"},
      {"mooncake: negative length", mooncake("5", "-600", "5", "[0,1]"), 1, 31, "found -600"},
      {"mooncake: negative output", mooncake("5", "600", "-5", "[0,1]"), 1, 51,
       "'output_length': expected an integer from 0"},
      {"mooncake: longer than any context", mooncake("5", "16777217", "5", "[0,1]"), 1, 31,
       "found 16777217"},
      {"mooncake: length as text", mooncake("5", "\"600\"", "5", "[0,1]"), 1, 31, "found \"600\""},
      {"mooncake: length 1e400", mooncake("5", "1e400", "5", "[0,1]"), 1, 31,
       "range of double, found 1e400"},
      {"mooncake: length NaN", mooncake("5", "NaN", "5", "[0,1]"), 1, 31, "found NaN"},
      {"mooncake: length null", mooncake("5", "null", "5", "[0,1]"), 1, 1,
       "expected key 'input_length', found none"},
      {"mooncake: length beyond int64", mooncake("5", "99999999999999999999", "5", "[0,1]"), 1, 31,
       "found 99999999999999999999"},
      {"mooncake: too few ids", mooncake("5", "600", "5", "[0]"), 1, 64,
       "expected 2 ids (a prompt of 600 tokens in blocks of 512, the last one partial), found 1"},
      {"mooncake: too many ids", mooncake("5", "512", "5", "[0,1]"), 1, 64, "expected 1 ids"},
      {"mooncake: another block size", kGood, 1, 64,
       "expected 3 ids (a prompt of 600 tokens in blocks of 256", "", 256},
      {"mooncake: negative id", mooncake("5", "600", "5", "[0,-1]"), 1, 67,
       "'hash_ids': expected an integer from 0"},
      {"mooncake: id of text", mooncake("5", "600", "5", "[0,\"a\"]"), 1, 67, "found \"a\""},
      {"mooncake: ids no array", mooncake("5", "600", "5", "7"), 1, 64,
       "'hash_ids': expected an array, found 7"},
      {"mooncake: duplicate key",
       kGood +
           R"({"timestamp":5,"input_length":600,"input_length":5,"output_length":5,"hash_ids":[0,1]})",
       2, 35, "'input_length' twice"},
      {"mooncake: key missing",
       kGood + R"({"timestamp":5,"input_len":600,"output_length":5,"hash_ids":[0,1]})", 2, 1,
       "expected key 'input_length', found none; is it 'input_len'?"},

      {"azure: no rows", kAzure, 1, 1, "expected at least one request"},
      {"azure: another header", "TIMESTAMP,ContextTokens\n" + kAzureRow, 1, 1,
       "expected the header", "azure"},
      {"azure: unsorted", kAzure + kAzureRow + "2023-11-16 18:17:03.9799599,1,1\n", 3, 1,
       "rows must be sorted"},
      {"azure: no such day", kAzure + "2023-02-30 18:17:03,1,1\n", 2, 1, "expected a time like"},
      {"azure: ten decimals", kAzure + "2023-02-20 18:17:03.0123456789,1,1\n", 2, 1,
       "expected a time like"},
      {"azure: hour 24", kAzure + "2023-02-20 24:17:03,1,1\n", 2, 1, "expected a time like"},
      {"azure: no date", kAzure + "18:17:03,1,1\n", 2, 1, "found '18:17:03'"},
      {"azure: fields missing", kAzure + kAzureRow + "2023-11-16 18:17:03.9799600,48", 3, 31,
       "expected 3 fields, found 2: the last line is cut"},
      {"azure: last number missing", kAzure + kAzureRow + "2023-11-16 18:17:03.9799600,48,", 3, 32,
       "GeneratedTokens: expected an integer"},
      {"azure: a field too many", kAzure + "2023-11-16 18:17:03.9799600,48,1,1\n", 2, 35,
       "expected 3 fields, found 4"},
      {"azure: quoted number", kAzure + "2023-11-16 18:17:03.9799600,\"48\",1\n", 2, 29,
       "ContextTokens: expected an integer from 1"},
      {"azure: negative length", kAzure + "2023-11-16 18:17:03.9799600,-48,1\n", 2, 29,
       "found '-48'"},
      {"azure: fraction", kAzure + "2023-11-16 18:17:03.9799600,48,1.5\n", 2, 32, "found '1.5'"},
      {"azure: blank row", kAzure + kAzureRow + "\n", 3, 1, "expected 3 fields, found 1"},
      {"azure: stated block size", kAzure + kAzureRow, 1, 1,
       "found a format without block ids (azure)", "", 64},

      {"lmcache: unsorted",
       kLmcache +
           R"({"session_id":"b","turn":1,"timestamp":`3.5,"input_length":16,"output_length":2,"hash_ids":[1]})",
       0, 0, "sorted by time"},
      {"lmcache: a turn left out",
       kLmcache +
           R"({"session_id":"a","turn":`3,"timestamp":5,"input_length":16,"output_length":2,"hash_ids":[1]})",
       0, 0, "'turn': expected 2"},
      {"lmcache: partial block with an id",
       R"({"session_id":"a","turn":1,"timestamp":4,"input_length":17,"output_length":2,"hash_ids":`[1,2]})",
       0, 0, "expected 1 ids (a prompt of 17 tokens in blocks of 16, full blocks only), found 2"},
      {"lmcache: session is a number",
       R"({"session_id":5,"turn":1,"timestamp":4,"input_length":16,"output_length":2,"hash_ids":[1]})",
       1, 15, "'session_id': expected a string, found 5"},
      {"lmcache: infinite time",
       R"({"session_id":"a","turn":1,"timestamp":1e300,"input_length":16,"output_length":2,"hash_ids":[1]})",
       1, 40, "'timestamp': expected a number from 0"},
      {"lmcache: another block size", kLmcache, 1, 89, "expected 0 ids", "", 64},

      {"taubench: group changes",
       kTau +
           R"({"group_id":1,"sample":0,"session_id":"a","turn":2,"input_length":16,"output_length":2,"hash_ids":[1]})",
       2, 13, "'group_id': expected the group of the session's first call"},
      {"taubench: turn twice", kTau + kTau, 2, 50, "'turn': expected 2"},

      {"weka: no requests", weka(""), 1, 1, "expected at least one request"},
      {"weka: unknown type", weka(R"({"t":0,"type":`"x","in":64,"out":1,"hash_runs":[[1,1]]})"), 0,
       0, "'type': expected n, s or p"},
      {"weka: unsorted",
       weka(
           R"({"t":5,"type":"s","in":64,"out":1,"hash_runs":[[1,1]]},{"t":`4,"type":"s","in":64,"out":1,"hash_runs":[[1,1]]})"),
       0, 0, "'t': expected entries sorted by time"},
      {"weka: ids short of the prompt",
       weka(R"({"t":0,"type":"s","in":129,"out":1,"hash_runs":`[[1,1]]})"), 0, 0,
       "expected 2 ids in all (full blocks of the prompt), found 1"},
      {"weka: empty run", weka(R"({"t":0,"type":"s","in":64,"out":1,"hash_runs":[[1,`0]]})"), 0, 0,
       "'hash_runs': expected an integer from 1"},
      {"weka: run of three", weka(R"({"t":0,"type":"s","in":64,"out":1,"hash_runs":[`[1,1,1]]})"),
       0, 0, "expected [start, count]"},
      {"weka: negative think time",
       weka(R"({"t":0,"type":"s","in":64,"out":1,"think_time":`-1,"hash_runs":[[1,1]]})"), 0, 0,
       "'think_time': expected a number from 0"},
      {"weka: sub-agent in a sub-agent",
       weka(R"({"t":0,"type":"subagent","requests":[{"t":0,"type":`"subagent","requests":[]}]})"),
       0, 0, "'type': expected n, s or p"},
      {"weka: session twice",
       weka(R"({"t":0,"type":"s","in":64,"out":1,"hash_runs":[[1,1]]})") + weka(""), 2, 7,
       "'id': expected a new session"},
      {"weka: another block size",
       weka(R"({"t":0,"type":"s","in":64,"out":1,"hash_runs":[[1,1]]})"), 1, 24,
       "'block_size': expected 16 as stated, found 64", "", 16},
      {"weka: block size changes",
       weka(R"({"t":0,"type":"s","in":64,"out":1,"hash_runs":[[1,1]]})") +
           R"({"id":"b","block_size":32,"requests":[]})",
       2, 24, "expected 64 as in the sessions before, found 32"},
      {"weka: requests no array", R"({"id":"b","block_size":32,"requests":5})", 1, 38,
       "'requests': expected an array, found 5"},

      {"math: no group", "group_id,sample_model,input_length,output_length,max_tokens\n,m,1,1,1\n",
       2, 1, "group_id: expected an integer"},
      {"math: zero prompt",
       "group_id,sample_model,input_length,output_length,max_tokens\n0,m,0,1,1\n", 2, 5,
       "input_length: expected an integer from 1"},
      {"lengths: wrong total",
       "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n74,918,991,0.08\n", 2, 8,
       "the sum of both lengths, 992"},
      {"lengths: ratio no number",
       "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n74,918,992,nan\n", 2, 12,
       "pd_ratio: expected a number"},

      {"servegen windows as requests", kWindows + "0,0,1,1,Gamma,1,1\n", 1, 1,
       "found a table of arrival rates"},
      {"servegen clients: window left out",
       client(window + R"(,[`1200,1.0,1.0,"Gamma",1.0,1.0])", lengths_of("[[5,1.0]]")), 0, 0,
       "without gaps"},
      {"servegen clients: unknown distribution",
       client(R"([0,1.0,1.0,"Pareto",1.0,1.0])", lengths_of("[[5,1.0]]")), 1, 35,
       "expected \"Gamma\", \"Weibull\" or null"},
      {"servegen clients: shape 0",
       client(R"([0,1.0,1.0,"Gamma",0.0,1.0])", lengths_of("[[5,1.0]]")), 1, 43,
       "expected a number from 1e-04"},
      {"servegen clients: probabilities", client(window, lengths_of("`[[5,0.5]]")), 0, 0,
       "sum to 1"},
      {"servegen clients: no histogram", client(window, lengths_of("[]")), 1, 63,
       "expected histograms for every period"},
      {"servegen clients: negative rate",
       client(R"([0,-1.0,1.0,"Gamma",1.0,1.0])", lengths_of("[[5,1.0]]")), 1, 27,
       "expected a number from 0"},

      {"own: version 2", R"({"format":"v4cap-trace","version":2})", 1, 35,
       "'version': expected an integer from 1 to 1, found 2"},
      {"own: requests missing", kNative, 2, 1,
       "expected 1 requests as the header says, found 0; the file is cut"},
      {"own: one request too many",
       kNative + "{\"prompt\":1,\"output\":1}\n{\"prompt\":1,\"output\":1}\n", 3, 1,
       "one more request"},
      {"own: unknown key", kNative + R"({"prompt":1,"output":1,"ouput":1})", 2, 32,
       "expected a key of the format, found 'ouput'; did you mean 'output'?"},
      {"own: waits for itself", kNative + R"({"prompt":1,"output":1,"after":[0]})", 2, 33,
       "'after': expected an integer"},
      {"own: unknown session", kNative + R"({"prompt":1,"output":1,"session":1})", 2, 34,
       "'session': expected an integer from 0 to 0"},
      {"own: id beyond the stated", kNative + R"({"prompt":64,"output":1,"runs":[[2,1]]})", 2, 34,
       "'runs': expected an integer from 0 to 1"},
      {"own: ids missing", kNative + R"({"prompt":64,"output":1})", 2, 1, "expected 1 ids in all"},
      {"own: another block size", kNative + R"({"prompt":1,"output":1})", 1, 89,
       "'block_tokens': expected 16 as stated, found 64", "", 16},
  };
}

void place_mark(Malformed& row) {
  const std::size_t mark = row.text.find('`');
  if (mark == std::string::npos) return;
  row.text.erase(mark, 1);
  const std::size_t newline = row.text.rfind('\n', mark);
  row.column =
      static_cast<std::int64_t>(mark - (newline == std::string::npos ? 0 : newline + 1)) + 1;
  row.line =
      1 + std::count(row.text.begin(), row.text.begin() + static_cast<std::ptrdiff_t>(mark), '\n');
}

TEST_CASE("malformed traces are refused with line, column and what was expected") {
  std::vector<Malformed> rows = malformed();
  for (Malformed& row : rows) {
    place_mark(row);
    CAPTURE(row.name);
    const TestFile file("malformed", row.text);
    TraceReadOptions options;
    options.format = row.format;
    if (row.block > 0) options.block_tokens = Tokens{row.block};
    try {
      read_trace(file.path(), options);
      FAIL_CHECK("accepted: " << row.name);
    } catch (const InputError& error) {
      REQUIRE(error.diagnostics().size() == 1);
      const Diagnostic& found = error.diagnostics()[0];
      CAPTURE(found.message);
      CHECK(found.place.file == file.path());
      CHECK(found.place.line > 0);
      CHECK(found.place.column > 0);
      if (row.line > 0) CHECK(found.place.line == row.line);
      if (row.column > 0) CHECK(found.place.column == row.column);
      CHECK(found.message.find(row.fragment) != std::string::npos);
      CHECK(found.message.find("xpected") != std::string::npos);
    }
  }
}

TEST_CASE("an unknown format names the nearest") {
  const TestFile file("good", kGood);
  TraceReadOptions options;
  options.format = "moncake";
  try {
    read_trace(file.path(), options);
    FAIL("accepted");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("did you mean 'mooncake'?") != std::string::npos);
  }
}

// A small good file of every format that holds requests.
std::vector<std::string> good_files() {
  return {kGood + kGood,
          kAzure + kAzureRow,
          kLmcache,
          kTau,
          weka(R"({"t":0,"type":"s","in":64,"out":1,"think_time":1,"hash_runs":[[1,1]]},)"
               R"({"t":1,"type":"subagent","duration_ms":1,"requests":[]})"),
          kNative + R"({"prompt":64,"output":1,"runs":[[0,1]],"session":0})" + "\n",
          client(R"([0,0.01,1.0,"Gamma",1.0,1.0])", lengths_of("[[5,1.0]]")),
          "group_id,sample_model,input_length,output_length,max_tokens\n0,m,9,1,1\n",
          "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n74,918,992,0.08\n",
          gzip(kGood)};
}

// Read whole, or refused with a place. Anything else is a crash or a hang.
void read_or_refuse(const std::string& text) {
  const TestFile file("damaged", text);
  try {
    const Trace trace = read_trace(file.path());
    CHECK_FALSE(trace.requests.empty());
  } catch (const InputError& error) {
    const Place& place = error.diagnostics()[0].place;
    CHECK((place.line > 0 && place.column > 0));
  }
}

TEST_CASE("a trace cut at any byte is read or refused, never worse") {
  for (const std::string& text : good_files()) {
    for (std::size_t size = 0; size <= text.size(); ++size) {
      CAPTURE(text);
      CAPTURE(size);
      read_or_refuse(text.substr(0, size));
    }
  }
}

TEST_CASE("a trace with bytes changed, doubled or left out is read or refused, never worse") {
  constexpr std::string_view kBytes = "0919-.eE+,:\"{}[]n \n\r\x00\x7f\xff\x1f";
  RandomEngine engine = RandomStreams(1).stream("mutations");
  for (const std::string& text : good_files()) {
    for (int i = 0; i < 600; ++i) {
      std::string mutated = text;
      for (std::uint64_t changes = 1 + engine() % 3; changes > 0; --changes) {
        const std::size_t at = engine() % mutated.size();
        const std::size_t length = 1 + engine() % 8;
        const std::uint64_t kind = engine() % 3;
        if (kind == 0) mutated[at] = kBytes[engine() % kBytes.size()];
        if (kind == 1) mutated.insert(at, mutated.substr(at, length));
        if (kind == 2 && mutated.size() > length) mutated.erase(at, length);
      }
      CAPTURE(mutated);
      read_or_refuse(mutated);
    }
  }
}

}  // namespace
}  // namespace v4cap
