/*
 * version.h: the module's version, in its notice at the start, on its page and
 * in its User-Agent.  Any thread.
 * CHANGELOG.md begins with the same number; t/guard-version.t compares them.
 */
#ifndef IMX_VERSION_H
#define IMX_VERSION_H

#define IMX_VERSION "0.1.0"

#endif
