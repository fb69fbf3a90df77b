/*
 * LD_PRELOAD shim around one node: a disk and a clock that a test can break.
 *
 * Built by disk/shim.ts with cc -shared -fPIC. It acts only on files below TORTURE_DATA and reads what
 * to do from the page of TORTURE_CONTROL (struct control), which the test maps and writes.
 *
 *   fsync_mode 1: fsync and fdatasync fail with EIO        2: they take delay_ms longer
 *   write_mode 1: writes are short once, then ENOSPC      2: writes work, but statfs tells of no room
 *                 (in 1 as well)
 *   clock:     CLOCK_REALTIME = real + offset_ns + (real - anchor_ns) * (rate_permille - 1000) / 1000;
 *              the monotonic clock is never touched
 *   boot id:   /proc/sys/kernel/random/boot_id reads as TORTURE_BOOT_ID
 *
 * TORTURE_SHADOW is the disk as a power cut would leave it: a write reaches it with the fsync of its file,
 * a name with the fsync of its folder. Layout, all by inode number of the data folder's file system:
 *   pins/INO     a hard link, so that a number is not used again while the shadow speaks of it
 *   objects/INO  the synced content
 *   dirs/INO     the synced names of a folder, lines "f INO NAME" and "d INO NAME"
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 65536
#define SLOTS 4096

struct control {
  volatile int32_t fsync_mode;
  volatile int32_t delay_ms;
  volatile int32_t write_mode;
  volatile int32_t short_writes;
  volatile int64_t offset_ns;
  volatile int64_t rate_permille;
  volatile int64_t anchor_ns;
};

struct range { off_t start, end; };
/* What was written to one file and not synced. */
struct dirty { ino_t ino; size_t count, room; struct range *ranges; struct dirty *next; };
enum { OTHER = 0, FILE_FD = 1, FOLDER_FD = 2 };
/* A stream is written inside libc, where no call can be seen: what follows `copied` is new at each sync. */
/* is_durable: opened with O_DSYNC, which the shim does itself: each write is followed by a sync. */
struct fd_info { ino_t ino; char kind; char is_stream; char is_durable; off_t copied; };

static struct fd_info fds[FDS_MAX];
static struct dirty *table[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Held over fsync and copy, so that a later copy never carries older content. */
static pthread_mutex_t sync_lock = PTHREAD_MUTEX_INITIALIZER;
static struct control *control;
static struct control quiet = { 0, 0, 0, 0, 0, 1000, 0 };
static const char *data_path, *shadow_path, *boot_path;
static size_t data_length;

#define REAL(name) real_##name
#define DECLARE(type, name, ...) static type (*real_##name)(__VA_ARGS__)
DECLARE(int, open64, const char *, int, ...);
DECLARE(int, close, int);
DECLARE(ssize_t, write, int, const void *, size_t);
DECLARE(ssize_t, writev, int, const struct iovec *, int);
DECLARE(ssize_t, pwrite64, int, const void *, size_t, off64_t);
DECLARE(ssize_t, pwritev64, int, const struct iovec *, int, off64_t);
DECLARE(int, ftruncate64, int, off64_t);
DECLARE(int, fsync, int);
DECLARE(int, fdatasync, int);
DECLARE(FILE *, fopen64, const char *, const char *);
DECLARE(int, fclose, FILE *);
DECLARE(size_t, fwrite_unlocked, const void *, size_t, size_t, FILE *);
DECLARE(int, fflush_unlocked, FILE *);
DECLARE(int, mkdir, const char *, mode_t);
DECLARE(int, clock_gettime, clockid_t, struct timespec *);

/* The shim itself is broken: better no node than one that is tested against nothing. */
__attribute__((noreturn)) static void broken(const char *what) {
  fprintf(stderr, "torture shim: %s: %s\n", what, strerror(errno));
  abort();
}

static void resolve(void) {
#define RESOLVE(name) real_##name = dlsym(RTLD_NEXT, #name)
  RESOLVE(open64); RESOLVE(close); RESOLVE(write); RESOLVE(writev); RESOLVE(pwrite64);
  RESOLVE(pwritev64); RESOLVE(ftruncate64); RESOLVE(fsync); RESOLVE(fdatasync);
  RESOLVE(fopen64); RESOLVE(fclose); RESOLVE(fwrite_unlocked); RESOLVE(fflush_unlocked);
  RESOLVE(mkdir); RESOLVE(clock_gettime);
}

__attribute__((constructor)) static void start(void) {
  resolve();
  control = &quiet;
  data_path = getenv("TORTURE_DATA");
  shadow_path = getenv("TORTURE_SHADOW");
  boot_path = getenv("TORTURE_BOOT_ID");
  const char *page = getenv("TORTURE_CONTROL");
  if (data_path == NULL || page == NULL) { data_path = NULL; return; }
  data_length = strlen(data_path);
  int fd = REAL(open64)(page, O_RDWR);
  if (fd < 0) broken("control");
  void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) broken("map");
  control = mapped;
  REAL(close)(fd);
}

/* ---- the clock ---- */

static int64_t shifted(int64_t now_ns) {
  int64_t since = now_ns - control->anchor_ns;
  return now_ns + control->offset_ns + since / 1000 * (control->rate_permille - 1000);
}

int clock_gettime(clockid_t id, struct timespec *at) {
  int result = real_clock_gettime ? REAL(clock_gettime)(id, at) : (int)syscall(SYS_clock_gettime, id, at);
  if (result == 0 && control != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
    int64_t ns = shifted((int64_t)at->tv_sec * 1000000000 + at->tv_nsec);
    at->tv_sec = ns / 1000000000;
    at->tv_nsec = ns % 1000000000;
  }
  return result;
}

int gettimeofday(struct timeval *at, void *zone) {
  (void)zone;
  struct timespec now;
  int result = clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return result;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at != NULL) *at = now.tv_sec;
  return now.tv_sec;
}

/* ---- the shadow ---- */

static int is_data(const char *path) {
  if (data_path == NULL || strncmp(path, data_path, data_length) != 0) return 0;
  return path[data_length] == '/' || path[data_length] == 0;
}

static int shadow_name(char *out, const char *kind, ino_t ino) {
  return snprintf(out, 4096, "%s/%s/%llu", shadow_path, kind, (unsigned long long)ino);
}

static struct dirty *dirty_of(ino_t ino) {
  struct dirty **slot = &table[ino % SLOTS];
  for (struct dirty *at = *slot; at != NULL; at = at->next) if (at->ino == ino) return at;
  struct dirty *fresh = calloc(1, sizeof *fresh);
  fresh->ino = ino;
  fresh->next = *slot;
  *slot = fresh;
  return fresh;
}

static void note_write(int fd, off_t start, off_t end) {
  if (fd < 0 || fd >= FDS_MAX || fds[fd].kind != FILE_FD || end <= start) return;
  pthread_mutex_lock(&lock);
  struct dirty *file = dirty_of(fds[fd].ino);
  struct range *last = file->count > 0 ? &file->ranges[file->count - 1] : NULL;
  if (last != NULL && start >= last->start && start <= last->end) {
    if (end > last->end) last->end = end;
  } else {
    if (file->count == file->room) {
      file->room = file->room ? file->room * 2 : 8;
      file->ranges = realloc(file->ranges, file->room * sizeof(struct range));
    }
    file->ranges[file->count++] = (struct range){ start, end };
  }
  pthread_mutex_unlock(&lock);
}

/* Copies what had been written when the sync began; what came since stays dirty as well. */
static void sync_file(int fd, struct range *ranges, size_t count) {
  char path[4096];
  shadow_name(path, "objects", fds[fd].ino);
  int copy = REAL(open64)(path, O_RDWR | O_CREAT, 0600);
  if (copy < 0) broken(path);
  /* The descriptor may be write-only: read through another one. */
  char own[64];
  snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
  int from = REAL(open64)(own, O_RDONLY);
  if (from < 0) broken(own);
  static char buffer[1 << 20];
  for (size_t i = 0; i < count; i++) {
    for (off_t at = ranges[i].start; at < ranges[i].end;) {
      size_t want = ranges[i].end - at < (off_t)sizeof buffer ? (size_t)(ranges[i].end - at) : sizeof buffer;
      ssize_t got = pread(from, buffer, want, at);
      if (got <= 0) break;
      if (REAL(pwrite64)(copy, buffer, got, at) != got) broken(path);
      at += got;
    }
  }
  struct stat64 now;
  if (fstat64(from, &now) != 0) broken(own);
  REAL(ftruncate64)(copy, now.st_size);
  REAL(close)(from);
  REAL(close)(copy);
}

static void sync_folder(int fd) {
  char path[4096], fresh[4200], own[64];
  shadow_name(path, "dirs", fds[fd].ino);
  snprintf(fresh, sizeof fresh, "%s.new", path);
  snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
  DIR *folder = opendir(own);
  FILE *out = REAL(fopen64)(fresh, "w");
  if (folder == NULL || out == NULL) broken(fresh);
  struct dirent *entry;
  while ((entry = readdir(folder)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    char kind = entry->d_type == DT_DIR ? 'd' : entry->d_type == DT_REG ? 'f' : 0;
    if (kind != 0) fprintf(out, "%c %llu %s\n", kind, (unsigned long long)entry->d_ino, entry->d_name);
  }
  closedir(folder);
  if (REAL(fclose)(out) != 0 || rename(fresh, path) != 0) broken(path);
}

static int synced(int fd, int (*real)(int)) {
  if (data_path == NULL || fd < 0 || fd >= FDS_MAX || fds[fd].kind == OTHER) return real(fd);
  if (control->fsync_mode == 1) { errno = EIO; return -1; }
  if (control->fsync_mode == 2) usleep(control->delay_ms * 1000);
  pthread_mutex_lock(&sync_lock);
  struct range *ranges = NULL;
  size_t count = 0;
  if (fds[fd].kind == FILE_FD) {
    pthread_mutex_lock(&lock);
    struct dirty *file = dirty_of(fds[fd].ino);
    ranges = file->ranges;
    count = file->count;
    file->ranges = NULL;
    file->count = file->room = 0;
    pthread_mutex_unlock(&lock);
  }
  int is_stream = fds[fd].kind == FILE_FD && fds[fd].is_stream;
  struct stat64 before;
  if (is_stream && fstat64(fd, &before) != 0) broken("stream");
  int result = real(fd);
  if (result == 0 && shadow_path != NULL) {
    if (is_stream) {
      struct range fresh = { fds[fd].copied, before.st_size };
      sync_file(fd, &fresh, 1);
      fds[fd].copied = before.st_size;
    } else if (fds[fd].kind == FILE_FD) {
      sync_file(fd, ranges, count);
    } else {
      sync_folder(fd);
    }
  }
  free(ranges);
  pthread_mutex_unlock(&sync_lock);
  return result;
}

/* Of a write with O_DSYNC: its own bytes, and the size that is needed to read them. */
static int synced_write(int fd, off_t start, off_t end) {
  if (control->fsync_mode == 1) { note_write(fd, start, end); errno = EIO; return -1; }
  if (control->fsync_mode == 2) usleep(control->delay_ms * 1000);
  pthread_mutex_lock(&sync_lock);
  int result = REAL(fdatasync)(fd);
  struct range own = { start, end };
  if (result == 0 && shadow_path != NULL) sync_file(fd, &own, 1);
  pthread_mutex_unlock(&sync_lock);
  return result;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

/* ---- opening and naming ---- */

/* Takes note of a new descriptor of a file or folder below the data folder. */
static void note_open(int fd, const char *path, const struct stat64 *before) {
  struct stat64 now;
  if (fstat64(fd, &now) != 0) broken(path);
  fds[fd] = (struct fd_info){ .ino = now.st_ino };
  fds[fd].kind = S_ISDIR(now.st_mode) ? FOLDER_FD : S_ISREG(now.st_mode) ? FILE_FD : OTHER;
  if (before == NULL && fds[fd].kind == FILE_FD && shadow_path != NULL) {
    char pin[4096];
    shadow_name(pin, "pins", now.st_ino);
    if (link(path, pin) != 0 && errno != EEXIST && errno != ENOENT) broken(pin);
  }
  if (before != NULL && now.st_size < before->st_size) note_write(fd, now.st_size, before->st_size);
}

static int opened(const char *path, int flags, mode_t mode) {
  if (boot_path != NULL && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) path = boot_path;
  struct stat64 before;
  int is_ours = is_data(path);
  int existed = is_ours && stat64(path, &before) == 0;
  int fd = REAL(open64)(path, is_ours ? flags & ~O_SYNC : flags, mode);
  if (fd < 0 || fd >= FDS_MAX) return fd;
  if (is_ours) {
    note_open(fd, path, existed ? &before : NULL);
    fds[fd].is_durable = (flags & O_DSYNC) != 0;
  } else fds[fd].kind = OTHER;
  return fd;
}

/* LevelDB writes through streams. */
FILE *fopen64(const char *path, const char *mode) {
  if (real_fopen64 == NULL) resolve();
  struct stat64 before;
  int is_ours = is_data(path);
  int existed = is_ours && stat64(path, &before) == 0;
  FILE *stream = REAL(fopen64)(path, mode);
  if (stream == NULL) return NULL;
  int fd = fileno(stream);
  if (fd < 0 || fd >= FDS_MAX) return stream;
  fds[fd].kind = OTHER;
  if (is_ours && mode[0] != 'r') {
    note_open(fd, path, existed ? &before : NULL);
    fds[fd].is_stream = 1;
    fds[fd].copied = mode[0] == 'a' && existed ? before.st_size : 0;
  }
  return stream;
}

int fclose(FILE *stream) {
  if (real_fclose == NULL) resolve();
  int fd = fileno(stream);
  if (fd >= 0 && fd < FDS_MAX) fds[fd].kind = OTHER;
  return REAL(fclose)(stream);
}

int open64(const char *path, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | __O_TMPFILE)) {
    va_list list;
    va_start(list, flags);
    mode = va_arg(list, mode_t);
    va_end(list);
  }
  if (real_open64 == NULL) resolve();
  return opened(path, flags, mode);
}

int open(const char *path, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | __O_TMPFILE)) {
    va_list list;
    va_start(list, flags);
    mode = va_arg(list, mode_t);
    va_end(list);
  }
  if (real_open64 == NULL) resolve();
  return opened(path, flags, mode);
}

int close(int fd) {
  if (fd >= 0 && fd < FDS_MAX) fds[fd].kind = OTHER;
  if (real_close == NULL) resolve();
  return REAL(close)(fd);
}

/* A new folder has no synced names, whatever had its number before. */
int mkdir(const char *path, mode_t mode) {
  int result = REAL(mkdir)(path, mode);
  struct stat64 now;
  if (result == 0 && shadow_path != NULL && is_data(path) && stat64(path, &now) == 0) {
    char names[4096];
    shadow_name(names, "dirs", now.st_ino);
    unlink(names);
  }
  return result;
}

/* ---- writing ---- */

static int is_watched(int fd) {
  return data_path != NULL && fd >= 0 && fd < FDS_MAX && fds[fd].kind == FILE_FD;
}

/* With a full disk the first write is short, as on a real one; the next has no room at all. */
static size_t room_for(size_t wanted) {
  if (control->write_mode != 1) return wanted;
  if (control->short_writes > 0 && wanted > 1) { control->short_writes--; return wanted / 2; }
  return 0;
}

static ssize_t full(void) { errno = ENOSPC; return -1; }

static size_t total_of(const struct iovec *parts, int count) {
  size_t total = 0;
  for (int i = 0; i < count; i++) total += parts[i].iov_len;
  return total;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  if (!is_watched(fd)) return REAL(write)(fd, bytes, length);
  size_t room = room_for(length);
  if (room == 0 && length > 0) return full();
  ssize_t count = REAL(write)(fd, bytes, room);
  if (count > 0) { off_t end = lseek(fd, 0, SEEK_CUR); note_write(fd, end - count, end); }
  return count;
}

ssize_t writev(int fd, const struct iovec *parts, int parts_count) {
  if (!is_watched(fd)) return REAL(writev)(fd, parts, parts_count);
  if (room_for(total_of(parts, parts_count)) < total_of(parts, parts_count)) return full();
  ssize_t count = REAL(writev)(fd, parts, parts_count);
  if (count > 0) { off_t end = lseek(fd, 0, SEEK_CUR); note_write(fd, end - count, end); }
  return count;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
  if (!is_watched(fd)) return REAL(pwrite64)(fd, bytes, length, at);
  size_t room = room_for(length);
  if (room == 0 && length > 0) return full();
  ssize_t count = REAL(pwrite64)(fd, bytes, room, at);
  if (count <= 0) return count;
  if (fds[fd].is_durable) return synced_write(fd, at, at + count) == 0 ? count : -1;
  note_write(fd, at, at + count);
  return count;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

ssize_t pwritev64(int fd, const struct iovec *parts, int parts_count, off64_t at) {
  if (!is_watched(fd)) return REAL(pwritev64)(fd, parts, parts_count, at);
  if (room_for(total_of(parts, parts_count)) < total_of(parts, parts_count)) return full();
  ssize_t count = REAL(pwritev64)(fd, parts, parts_count, at);
  if (count > 0) note_write(fd, at, at + count);
  return count;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev64(fd, parts, count, at); }

int statfs64(const char *path, struct statfs64 *out) {
  static int (*real)(const char *, struct statfs64 *);
  if (real == NULL) real = dlsym(RTLD_NEXT, "statfs64");
  int result = real(path, out);
  if (result == 0 && control->write_mode != 0 && is_data(path)) out->f_bfree = out->f_bavail = 0;
  return result;
}

int statfs(const char *path, struct statfs *out) { return statfs64(path, (struct statfs64 *)out); }

static int has_no_room(FILE *stream) {
  return control->write_mode == 1 && is_watched(fileno(stream));
}

size_t (fwrite_unlocked)(const void *bytes, size_t size, size_t count, FILE *stream) {
  if (has_no_room(stream)) { errno = ENOSPC; return 0; }
  return REAL(fwrite_unlocked)(bytes, size, count, stream);
}

int (fflush_unlocked)(FILE *stream) {
  if (stream != NULL && has_no_room(stream)) { errno = ENOSPC; return EOF; }
  return REAL(fflush_unlocked)(stream);
}

/*
 * The new length reaches the shadow with the next sync, as sync_file copies the length. What was cut off is
 * dirty: should the file grow again before that sync, there are zeros.
 */
int ftruncate64(int fd, off64_t length) {
  struct stat64 before;
  int is_cut = is_watched(fd) && fstat64(fd, &before) == 0 && before.st_size > length;
  int result = REAL(ftruncate64)(fd, length);
  if (result == 0 && is_cut) note_write(fd, length, before.st_size);
  return result;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }
