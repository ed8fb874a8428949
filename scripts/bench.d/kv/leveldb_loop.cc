// The loop of EngineLoop/main.swift over LevelDB: same keys, values, sizes and order, one line a step.
//
//     leveldb_loop DIRECTORY ENTRIES SYNCED_ENTRIES
//
// A line: step, operations, wall nanoseconds, CPU nanoseconds of all threads.
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>
#include <sys/resource.h>
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kValueBytes = 100;
constexpr int kPoolBytes = 1 << 20;

struct Random {
  uint64_t state;
  uint64_t Next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
};

int64_t Nanoseconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

struct Key {
  char text[24];
  explicit Key(uint64_t number, const char* end = "") { snprintf(text, sizeof text, "%016llu%s", (unsigned long long)number, end); }
};

void Check(const leveldb::Status& status) {
  if (!status.ok()) {
    fprintf(stderr, "leveldb_loop: %s\n", status.ToString().c_str());
    exit(1);
  }
}

class Loop {
 public:
  Loop(std::string directory, int64_t entries, int64_t synced) : directory_(std::move(directory)), entries_(entries), synced_(synced) {
    Random random{88172645463325252ULL};
    for (int i = 0; i < kPoolBytes; i++) pool_.push_back(static_cast<char>(random.Next()));
    options_.create_if_missing = true;
    options_.compression = leveldb::kNoCompression;
    options_.filter_policy = leveldb::NewBloomFilterPolicy(10);
    options_.block_cache = leveldb::NewLRUCache(8 << 20);
    options_.write_buffer_size = 4 << 20;
  }

  void Run() {
    Fresh();
    Step("fillseq", entries_, [&] { Fill(entries_, true, false, 1); });
    Report("fillseq");
    Fresh();
    Step("fillrandom", entries_, [&] { Fill(entries_, false, false, 1); });
    Report("fillrandom");
    Step("overwrite", entries_, [&] { Fill(entries_, false, false, 2); });
    Report("overwrite");
    Step("compact", 1, [&] { db_->CompactRange(nullptr, nullptr); });
    Report("compact");
    ReportDisk();
    Step("readrandom", entries_, [&] { Read("", true); });
    Step("readrandom-unverified", entries_, [&] { Read("", false); });
    Step("readmissing", entries_, [&] { Read(".", true); });
    int64_t count = 0;
    Step("readseq", entries_, [&] { count = Scan(true); });
    Step("readseq-unverified", entries_, [&] { count = Scan(false); });
    printf("entries %lld 0 0\n", static_cast<long long>(count));
    Fresh();
    Step("fillsync-1", synced_, [&] { Fill(synced_, false, true, 3); });
    Fresh();
    Step("fillsync-50", synced_ * 10, [&] { FillByThreads(50, synced_ * 10 / 50); });
    db_.reset();
  }

 private:
  void Fresh() {
    db_.reset();
    Check(leveldb::DestroyDB(directory_, options_));
    leveldb::DB* db;
    Check(leveldb::DB::Open(options_, directory_, &db));
    db_.reset(db);
  }

  void Step(const char* name, int64_t operations, const std::function<void()>& body) {
    int64_t wall = Nanoseconds(CLOCK_MONOTONIC), cpu = Nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    body();
    printf("%s %lld %lld %lld\n", name, static_cast<long long>(operations),
           static_cast<long long>(Nanoseconds(CLOCK_MONOTONIC) - wall),
           static_cast<long long>(Nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu));
    fflush(stdout);
  }

  // What LevelDB says about the bytes that it wrote to tables.
  void Report(const char* name) {
    std::string stats;
    db_->GetProperty("leveldb.stats", &stats);
    double written = 0;
    size_t line = 0;
    while ((line = stats.find('\n', line)) != std::string::npos) {
      line++;
      int level, files;
      double size, time, read, write;
      if (sscanf(stats.c_str() + line, "%d %d %lf %lf %lf %lf", &level, &files, &size, &time, &read, &write) == 6) written += write;
    }
    printf("%s.written-mb %.0f 0 0\n", name, written);
    fflush(stdout);
  }

  // Bytes of the directory's files.
  void ReportDisk() {
    std::vector<std::string> names;
    leveldb::Env* env = leveldb::Env::Default();
    Check(env->GetChildren(directory_, &names));
    uint64_t total = 0;
    for (const std::string& name : names) {
      uint64_t size = 0;
      if (name != "." && name != ".." && env->GetFileSize(directory_ + "/" + name, &size).ok()) total += size;
    }
    printf("disk-mb %llu 0 0\n", static_cast<unsigned long long>(total >> 20));
  }

  void Fill(int64_t count, bool isSequential, bool isSynced, uint64_t seed) {
    Random random{seed * 7919 + 1};
    leveldb::WriteOptions options;
    options.sync = isSynced;
    for (int64_t i = 0; i < count; i++) {
      Key key(isSequential ? i : random.Next() % entries_);
      const char* value = pool_.data() + (i * kValueBytes) % (kPoolBytes - kValueBytes);
      leveldb::WriteBatch batch;
      batch.Put(leveldb::Slice(key.text, 16), leveldb::Slice(value, kValueBytes));
      Check(db_->Write(options, &batch));
    }
  }

  void FillByThreads(int threads, int64_t each) {
    std::vector<std::thread> workers;
    for (int worker = 0; worker < threads; worker++) {
      workers.emplace_back([this, worker, each] { Fill(each, false, true, 100 + worker); });
    }
    for (auto& worker : workers) worker.join();
  }

  void Read(const char* end, bool isVerified) {
    Random random{4711};
    leveldb::ReadOptions options;
    options.verify_checksums = isVerified;
    std::string value;
    int64_t found = 0;
    for (int64_t i = 0; i < entries_; i++) {
      Key key(random.Next() % entries_, end);
      if (db_->Get(options, key.text, &value).ok()) found++;
    }
    fprintf(stderr, "found %lld of %lld\n", static_cast<long long>(found), static_cast<long long>(entries_));
  }

  int64_t Scan(bool isVerified) {
    leveldb::ReadOptions options;
    options.verify_checksums = isVerified;
    std::unique_ptr<leveldb::Iterator> iterator(db_->NewIterator(options));
    int64_t count = 0, bytes = 0;
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      count++;
      bytes += iterator->key().size() + iterator->value().size();
    }
    Check(iterator->status());
    fprintf(stderr, "%lld entries, %lld bytes\n", static_cast<long long>(count), static_cast<long long>(bytes));
    return count;
  }

  std::string directory_;
  int64_t entries_, synced_;
  std::vector<char> pool_;
  leveldb::Options options_;
  std::unique_ptr<leveldb::DB> db_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: leveldb_loop DIRECTORY ENTRIES SYNCED_ENTRIES\n");
    return 2;
  }
  Loop(argv[1], atoll(argv[2]), atoll(argv[3])).Run();
  return 0;
}
