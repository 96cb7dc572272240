import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, link, readFile, rm, writeFile } from 'node:fs/promises'

/** Of file systems that know no second name of a file: FAT, and some that are mounted over a network. */
const NO_LINKS: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'])

/**
 * Makes a file that stays as whoever made it first wrote it, and answers its text. A process may be killed at any moment:
 * the file is there whole or not at all, where the file system has links. `linkFile` is Node's.
 */
export async function makeOnce(file: string, text: string, linkFile: typeof link = link): Promise<string> {
  const own = `${file}.${randomBytes(8).toString('hex')}`
  await writeFile(own, text, { flag: 'wx', flush: true })
  try {
    // Unlike a rename it takes no other gateway's place.
    await linkFile(own, file).catch((error: NodeJS.ErrnoException) => {
      if (!NO_LINKS.has(error.code)) throw error
      return copyFile(own, file, constants.COPYFILE_EXCL)
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(own, { force: true })
  }
  return await readFile(file, 'utf8')
}
