from pixelcnn import pixelcnn

pixelcnn(side=16, bits=1)
