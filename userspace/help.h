/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_HELP_H
#define BHSEC_HELP_H

extern const char help_all[];
extern const char help_apply[];
extern const char help_batch[];
extern const char help_check[];
extern const char help_doctor[];
extern const char help_down[];
extern const char help_genkey[];
extern const char help_explain[];
extern const char help_monitor[];
extern const char help_peer[];
extern const char help_reload[];
extern const char help_sa[];
extern const char help_set[];
extern const char help_show[];
extern const char help_top[];
extern const char help_up[];

#endif
