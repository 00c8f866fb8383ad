/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * startup.h - what every program here does before it opens anything.
 * Layer L0. Main thread.
 */
#ifndef RINGSIDE_BASE_STARTUP_H
#define RINGSIDE_BASE_STARTUP_H

/* startup_fill_standard_fds - were one of the first three closed, what is opened next would take its
 * number, and the log could go into an image. Ends the program where that cannot be helped. */
void startup_fill_standard_fds(void);

/* startup_allow_many_fds - as many as the hard limit has: a guest's memory may come in
 * VU_MAX_MEM_SLOTS regions, each of which keeps its fd open. */
void startup_allow_many_fds(void);

#endif
