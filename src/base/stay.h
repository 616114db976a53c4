/*
 * stay.h: code that stays where it is, for threads that may outlive the modules
 * of a process that ends.
 */
#ifndef IMX_STAY_H
#define IMX_STAY_H

/* The shared object that this address is in is not unloaded any more.  Any
 * thread. */
void imx_stay_loaded(const void *address);

#endif
