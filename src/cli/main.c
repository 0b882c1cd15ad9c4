/* SPDX-License-Identifier: Apache-2.0 */
#include <dynyolo.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    fprintf(stderr, "usage: dynyolo MODE key=value ...\n");
    return 2;
}
