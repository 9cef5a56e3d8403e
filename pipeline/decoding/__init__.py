"""Files of images and masks into arrays, as the files say."""
