/* What a Postgres' machine does badly on demand, by files in the folder $FRAGILE: while there is `clock`, nobody can tell
   the time of day (Rust's SystemTime::now() panics then; Postgres itself asks in other ways); where there is `sync`, the
   next write to the disk is not done, and the file is gone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *named(const char *name) {
  static _Thread_local char path[4096];
  const char *folder = getenv("FRAGILE");
  snprintf(path, sizeof path, "%s/%s", folder ? folder : "", name);
  return path;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  if (clock == CLOCK_REALTIME && access(named("clock"), F_OK) == 0) {
    errno = EINVAL;
    return -1;
  }
  return syscall(SYS_clock_gettime, clock, now);
}

int fdatasync(int file) {
  if (unlink(named("sync")) == 0) {
    errno = EIO;
    return -1;
  }
  return syscall(SYS_fdatasync, file);
}
