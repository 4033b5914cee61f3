/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BHSEC_FILE_TEXT_H
#define BHSEC_FILE_TEXT_H

#include <sys/stat.h>

char *file_text(int fd, off_t max, struct stat *stat);

#endif
