from pixelcnn import pixelcnn

pixelcnn(side=4, bits=8)
