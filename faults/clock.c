/* Preloaded into a process, puts its wall clock FAULTS_CLOCK seconds off. Spans stay right. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t off(void)
{
    const char *told = getenv("FAULTS_CLOCK");
    return told ? atol(told) : 0;
}

int clock_gettime(clockid_t id, struct timespec *found)
{
    int failed = syscall(SYS_clock_gettime, id, found);
    if (!failed && id == CLOCK_REALTIME)
        found->tv_sec += off();
    return failed;
}

int gettimeofday(struct timeval *found, void *zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *found)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found)
        *found = now.tv_sec;
    return now.tv_sec;
}
