"""Writes a list of images, their ids and where they are, for darac describe --manifest.

    darac manifest PHOTOS --out=M.parquet
    darac manifest shards/*.tar s3://bucket/prefix --out=M.csv

Each word is a folder of images, a tar file of WebDataset, or a prefix in a store that fsspec reads
(s3://, gs://, ...). Ids are paths below the folder, with its name before them where there are
several; of members of a tar, NAME.tar/MEMBER. Any file with the columns id and uri will do as well.
"""

from absl import flags

from darac_tf import cli


def main(arguments):
    values = flags.FlagValues()
    flags.DEFINE_string("out", None, "File: .parquet or .csv.", values, required=True)
    places = cli.parse_command(arguments, values, __doc__, "folder, tar file or prefix of a store")
    cli.start_tensorflow()

    from darac_tf.parts.manifest import list_images, write_manifest

    rows = (row for place in places for row in list_images(place, len(places) > 1))
    print(f"{values.out}: {write_manifest(values.out, rows)} images")
