/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Error numbers, returned negative. Values are Linux's, so that the same
 * sources also compile beside a hosted C library.
 */
#pragma once

#define ENOENT     2
#define EIO        5
#define E2BIG      7
#define ENOEXEC    8
#define EAGAIN     11
#define ENOMEM     12
#define EFAULT     14
#define EBUSY      16
#define EEXIST     17
#define ENODEV     19
#define EINVAL     22
#define ENOSPC     28
#define ERANGE     34
#define EOPNOTSUPP 95
#define ECANCELED  125

