// The Linux calls that Swift's Glibc module leaves out: epoll, eventfd, signalfd,
// accept4. Headers only; there is nothing here to compile.
//
// _GNU_SOURCE is not defined on purpose: it changes the layout names inside fd_set,
// and the Glibc module, built without it, would then disagree with this one. The few
// functions that glibc declares only under it are declared here by hand.
#ifndef SDLAB_SYSTEM_H
#define SDLAB_SYSTEM_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>

extern int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags);
extern int pipe2(int ends[2], int flags);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
extern ssize_t splice(
    int from, off_t *from_offset, int to, off_t *to_offset, size_t count, unsigned int flags);

enum {
  SDLAB_SPLICE_MOVE = 1,
  SDLAB_SPLICE_NONBLOCK = 2,
  SDLAB_SET_PIPE_SIZE = 1031,
  // <linux/in.h>, <linux/in6.h>, <asm-generic/socket.h> and <linux/sock_diag.h>.
  SDLAB_IP_RECEIVE_ERRORS = 11,
  SDLAB_IPV6_RECEIVE_ERRORS = 25,
  SDLAB_ERROR_QUEUE = 0x2000,
  SDLAB_SOCKET_MEMORY = 55,
  SDLAB_SOCKET_MEMORY_DROPS = 8,
};

// The kind of file system that a file lies in, as statfs(2) numbers them; -1 where that cannot be told.
static inline long sdlab_file_system(int descriptor) {
  struct statfs information;
  return fstatfs(descriptor, &information) == 0 ? (long)information.f_type : -1;
}

// The request number of TIOCGWINSZ is a macro that Swift does not import everywhere.
static inline int sdlab_window_columns(int descriptor) {
  struct winsize size;
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

// Rows and columns together; 0 where there is no terminal.
static inline long sdlab_window_cells(int descriptor) {
  struct winsize size;
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0) return 0;
  return (long)size.ws_col * size.ws_row;
}

// W* macros of <sys/wait.h> are function-like and therefore not imported.
static inline int sdlab_exit_status(int status) {
  if ((status & 0x7f) == 0) return (status >> 8) & 0xff;
  return 128 + (status & 0x7f);
}

#endif
