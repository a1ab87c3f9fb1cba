/* The time of day cannot be told while the file $NO_CLOCK exists: Rust's SystemTime::now() panics then. Postgres itself
   asks in other ways. */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
  const char *file = getenv("NO_CLOCK");
  if (clock == CLOCK_REALTIME && file && access(file, F_OK) == 0) {
    errno = EINVAL;
    return -1;
  }
  return syscall(SYS_clock_gettime, clock, now);
}
