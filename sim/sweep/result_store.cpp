#include "sim/sweep/result_store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <filesystem>

#include "sim/output/json_writer.h"
#include "sim/sweep/export.h"

namespace v4cap {

namespace {

constexpr std::int64_t kApplicationId = 0x76346373;  // "v4cs"
constexpr std::int64_t kSchemaVersion = 1;
constexpr int kBusyMs = 10'000;

// An SQL name, or text with ' for `quote`.
std::string sql_quoted(const std::string& text, char quote = '"') {
  std::string out(1, quote);
  for (const char c : text) {
    out += c;
    if (c == quote) out += c;
  }
  return out + quote;
}

}  // namespace

class ResultStore::Statement {
 public:
  Statement(const ResultStore& store, const std::string& sql) : store_(store) {
    if (sqlite3_prepare_v2(store.database_, sql.c_str(), -1, &statement_, nullptr) != SQLITE_OK) {
      store.fail("cannot be read");
    }
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(int position, const std::string& text) {
    sqlite3_bind_text(statement_, position, text.data(), static_cast<int>(text.size()),
                      SQLITE_TRANSIENT);
    return *this;
  }
  Statement& bind(int position, std::int64_t number) {
    sqlite3_bind_int64(statement_, position, number);
    return *this;
  }
  // Whether there is a row.
  bool step() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) store_.fail("cannot be written");
    return code == SQLITE_ROW;
  }
  void again() { sqlite3_reset(statement_); }
  std::string text(int column) const {
    const auto* const bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return {bytes == nullptr ? "" : bytes,
            static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }
  std::int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }

 private:
  const ResultStore& store_;
  sqlite3_stmt* statement_ = nullptr;
};

void ResultStore::fail(const std::string& what) const {
  const int code = sqlite3_errcode(database_) & 0xff;
  const std::string message = path_ + ": " + what + ": " + sqlite3_errmsg(database_);
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
    throw InputError(Place{path_}, "expected a database of sweep results, got something else (" +
                                       std::string(sqlite3_errmsg(database_)) + ")");
  }
  throw RunError(message, code == SQLITE_FULL ? "disk_full" : "cannot_write", {{"path", path_}});
}

void ResultStore::execute(const std::string& sql) {
  if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    fail("cannot be written");
  }
}

ResultStore::ResultStore(const std::string& path) : path_(path) {
  const bool fresh = !std::filesystem::exists(path) || std::filesystem::file_size(path) == 0;
  try {
    if (sqlite3_open_v2(path.c_str(), &database_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                        nullptr) != SQLITE_OK) {
      fail("cannot be opened");
    }
    sqlite3_extended_result_codes(database_, 0);
    sqlite3_busy_timeout(database_, kBusyMs);
    Statement id(*this, "PRAGMA application_id"), version(*this, "PRAGMA user_version");
    id.step();
    version.step();
    // A file that was made and then lost its process is empty, whatever its size.
    if (!fresh && id.number(0) != kApplicationId &&
        Statement(*this, "SELECT 1 FROM sqlite_master").step()) {
      throw InputError(Place{path}, "expected a database of sweep results, got another database");
    }
    if (version.number(0) > kSchemaVersion) {
      throw InputError(Place{path}, "expected a database of version " +
                                        std::to_string(kSchemaVersion) + ", this one is newer (" +
                                        std::to_string(version.number(0)) + ")");
    }
    id.again();
    version.again();
    execute("PRAGMA journal_mode = WAL");
    execute("PRAGMA synchronous = FULL");
    execute(fmt::format(
        "BEGIN IMMEDIATE;"
        "PRAGMA application_id = {}; PRAGMA user_version = {};"
        "CREATE TABLE IF NOT EXISTS results(key TEXT PRIMARY KEY, status TEXT NOT NULL, document "
        "TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS plan(position INTEGER PRIMARY KEY, key TEXT NOT NULL, "
        "\"values\" TEXT NOT NULL);"
        "COMMIT",
        kApplicationId, kSchemaVersion));
  } catch (...) {
    sqlite3_close(database_);
    throw;
  }
}

ResultStore::~ResultStore() {
  sqlite3_close(database_);
}

void ResultStore::add(const PointResult& result) {
  const std::lock_guard lock(mutex_);
  Statement insert(*this, "INSERT OR IGNORE INTO results VALUES(?1, ?2, ?3)");
  insert.bind(1, result.key).bind(2, result.feasible ? "done" : "infeasible");
  insert.bind(3, result.document).step();
  if (sqlite3_changes(database_) == 1) return;
  Statement known(*this, "SELECT status, document FROM results WHERE key = ?1");
  known.bind(1, result.key).step();
  const PointResult before{result.key, known.text(0) == "done", known.text(1)};
  if (before == result) return;
  throw RunError(path_ + ": the point " + result.key +
                     " has two different results; equal inputs must give equal results, so one of "
                     "them was changed or made by another program",
                 "conflict", {{"key", result.key}});
}

std::optional<PointResult> ResultStore::find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  Statement known(*this, "SELECT status, document FROM results WHERE key = ?1");
  if (!known.bind(1, key).step()) return std::nullopt;
  return PointResult{key, known.text(0) == "done", known.text(1)};
}

std::set<std::string> ResultStore::keys() const {
  const std::lock_guard lock(mutex_);
  Statement all(*this, "SELECT key FROM results");
  std::set<std::string> out;
  while (all.step()) out.insert(all.text(0));
  return out;
}

void ResultStore::set_plan(const SweepPlan& plan) {
  const std::lock_guard lock(mutex_);
  execute("BEGIN IMMEDIATE; DROP VIEW IF EXISTS points; DELETE FROM plan");
  {
    Statement insert(*this, "INSERT INTO plan VALUES(?1, ?2, ?3)");
    for (std::size_t i = 0; i < plan.points.size(); ++i) {
      JsonWriter values;
      values.begin_array();
      for (const std::string& value : values_of(plan, plan.points[i])) write_typed(values, value);
      values.end_array();
      insert.bind(1, static_cast<std::int64_t>(i)).bind(2, plan.points[i].key);
      insert.bind(3, values.text()).step();
      insert.again();
    }
  }
  std::string columns = "position, plan.key AS key";
  const std::vector<std::string> paths = paths_of_axes(plan);
  for (std::size_t j = 0; j < paths.size(); ++j) {
    columns += fmt::format(", json_extract(\"values\", '$[{}]') AS {}", j, sql_quoted(paths[j]));
  }
  columns += ", status";
  for (const std::string& name : figure_columns(plan)) {
    std::string path = "$";
    for (std::size_t begin = 0; begin <= name.size();) {
      const std::size_t dot = std::min(name.find('.', begin), name.size());
      path += '.' + sql_quoted(name.substr(begin, dot - begin));
      begin = dot + 1;
    }
    columns += fmt::format(", CASE status WHEN 'done' THEN json_extract(document, {}) END AS {}",
                           sql_quoted(path, '\''), sql_quoted(name));
  }
  execute("CREATE VIEW points AS SELECT " + columns +
          " FROM plan LEFT JOIN results USING(key); COMMIT");
}

}  // namespace v4cap
